// Tags of EXIF that contradict each other, or that name a lens which bends its pictures, as
// rilievo.io.photographs.exif_contradictions finds them: the two change together.

const FILM_ERROR = 0.03, SENSOR_ERROR = 0.035, SHORTEST_FILM = 9, LEAST_CROP_FACTOR = 0.6;
const NARROWEST_SENSOR = 3, WIDEST_SENSOR = 55; // millimetres, the longer side
const USUAL_SENSORS = [[36, 24], [28.1, 18.7], [23.6, 15.7], [22.3, 14.9], [17.3, 13], [13.2, 8.8], [43.8, 32.9], [53.7, 40.3]];
const INTERCHANGEABLE = /\bEOS\b|NIKON [DZ]|\bIL(CE|CA|ME)-|\bSLT-|\bDSLR-|\bNEX-|\bPENTAX K|\bX-(T|E|H|S|Pro)\d|\bX100|\bGFX|\bD[CM]C-G|\bE-M\d|\bLEICA (M|Q|SL)/i;
const EDITORS = new RegExp("photoshop|lightroom|camera raw|gimp|darktable|rawtherapee|capture one|affinity|imagemagick|"
  + "snapseed|picasa|luminar|dxo|acdsee|digikam|^photos|pixelmator|xnview|irfanview|faststone|"
  + "paint|topaz|aperture|photo professional|viewnx|nx studio|photofiltre|photoscape|polarr", "i");
const FISHEYE = /fish[\s_-]?eye|fischauge/i, ACTION_CAMERA = /gopro|insta360|osmo\s*action|\btheta\b/i;
const FISHEYE_IN_XMP = /Lens(?:Model)?\s*(?:=\s*["']|>)([^"'<]{0,60}fish[\s_-]?eye[^"'<]{0,60})/i;
const MAKE = 0x010f, MODEL = 0x0110, SOFTWARE = 0x0131, LENS_MODEL = 0xa434;

const text = (tags, tag) => (typeof tags.get(tag) === "string" ? tags.get(tag) : "");
const digits = (number, count) => Number(number.toPrecision(count));

function cameraName(tags) {
  const make = text(tags, MAKE), model = text(tags, MODEL);
  return model.toLowerCase().startsWith(make.toLowerCase().slice(0, 5)) ? model : `${make} ${model}`.trim();
}

// Why the focal length of EXIF cannot be believed, null if nothing speaks against it. `focals` has the
// plausible focal lengths [px] by what states them, and `sides` the two sides of the picture of EXIF.
export function contradiction(tags, focals, { film, focal, pixelsPerMm }, sides, isUncropped) {
  const ofFilm = focals.exif_35mm, ofSensor = focals.exif_sensor;
  if (ofFilm !== undefined) {
    if (film < SHORTEST_FILM) return `EXIF gives a 35 mm equivalent of ${film} mm, which is shorter than any usual lens`;
    if (focal && film < LEAST_CROP_FACTOR * focal) {
      return `EXIF gives a focal length of ${focal} mm and a 35 mm equivalent of ${film} mm, which contradict each other, because no sensor is that large`;
    }
    const agrees = ofSensor === undefined || Math.abs(Math.log(ofFilm / ofSensor)) <= FILM_ERROR + 0.5 / film;
    // The pixels of the sensor are those before the picture was made smaller.
    if (agrees || (isUncropped && ofSensor > ofFilm)) return null;
    return `EXIF gives two focal lengths that contradict each other, ${digits(ofFilm, 4)} px from the 35 mm equivalent and ${digits(ofSensor, 4)} px from the sensor resolution, so the image may have been resized or cropped`;
  }
  if (ofSensor === undefined) return null;
  const longer = Math.max(...sides) / pixelsPerMm, shorter = Math.min(...sides) / pixelsPerMm;
  const isPossible = NARROWEST_SENSOR <= longer && longer <= WIDEST_SENSOR;
  const isUsual = USUAL_SENSORS.some(([width, height]) =>
    Math.abs(longer / width - 1) <= SENSOR_ERROR || Math.abs(shorter / height - 1) <= SENSOR_ERROR);
  const name = cameraName(tags), isEdited = !name || EDITORS.test(text(tags, SOFTWARE));
  if (isPossible && (isUsual || !(INTERCHANGEABLE.test(name) || isEdited))) return null;
  return `the sensor resolution in EXIF says that ${Math.max(...sides)} pixels span ${digits(longer, 3)} mm, which is unlikely for the sensor of this camera${name ? ` (${name.slice(0, 40)})` : ""}, so the image may have been resized`;
}

// The name of a lens or camera that is no pinhole, as a fisheye; null without one.
export function fisheyeName(tags, xmp) {
  const camera = cameraName(tags);
  const named = [text(tags, LENS_MODEL), camera].find((name) => FISHEYE.test(name));
  return (named ?? (ACTION_CAMERA.test(camera) ? camera : FISHEYE_IN_XMP.exec(xmp)?.[1]))?.slice(0, 60) ?? null;
}
